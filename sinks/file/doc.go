// Package file is the sink that writes a lake of Parquet or NDJSON files into a folder.
//
// Files grow under _penstock/tmp and are renamed into place, synced, when their plan is committed. Nothing is written
// outside the folder, whatever the data says.
package file
