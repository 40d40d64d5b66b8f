package kinesisapi

import (
	"context"

	"github.com/penstock/penstock/core/awsapi"
	"github.com/penstock/penstock/core/stream"
)

// Types of encryption.
const (
	encryptionNone = "NONE"
	encryptionKMS  = "KMS"
)

func (a *API) startStreamEncryption(ctx context.Context, _ *awsapi.Call, in *startStreamEncryptionInput) error {
	t, err := a.find(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return err
	}
	if in.EncryptionType != encryptionKMS {
		return invalid("EncryptionType has to be KMS to start the encryption of a stream.")
	}
	return a.refused(ctx, t, t.Encrypt(ctx, in.KeyID, a.cfg.Delay))
}

func (a *API) stopStreamEncryption(ctx context.Context, _ *awsapi.Call, in *stopStreamEncryptionInput) error {
	t, err := a.find(ctx, in.StreamName, in.StreamARN)
	if err != nil {
		return err
	}
	if in.EncryptionType != encryptionKMS {
		return invalid("EncryptionType has to be KMS, which is what is to be stopped.")
	}
	if t.info.Encryption != nil && t.info.Encryption.Master != in.KeyID {
		return invalid("Stream %s under account %s is not encrypted by key %s.", t.info.Name, a.cfg.Account, in.KeyID)
	}
	return a.refused(ctx, t, t.StopEncryption(ctx, a.cfg.Delay))
}

// encryption is how what is put to a stream is encrypted.
func encryption(i stream.Info) string {
	if i.Encryption == nil {
		return encryptionNone
	}
	return encryptionKMS
}

// kms is the encryption where there is one, for answers that leave it out else.
func kms(i stream.Info) string {
	if i.Encryption == nil {
		return ""
	}
	return encryptionKMS
}

func masterKey(i stream.Info) string {
	if i.Encryption == nil {
		return ""
	}
	return i.Encryption.Master
}
