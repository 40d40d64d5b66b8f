"""
A worker of the Kinesis Client Library for Python, with enhanced fan-out. It appends its name and the shard, the sequence
number, the key and the text of each record that it processes to a file, and then checkpoints.

Called as consumer.py ENDPOINT DYNAMODB STREAM WORKER FILE it becomes the library's daemon, which is a Java program and
calls consumer.py WORKER FILE for each shard, to process its records.
"""

import os
import sys

import amazon_kclpy
from amazon_kclpy import kcl
from amazon_kclpy.v3 import processor

PROPERTIES = """
executableName = {python} {script} {worker} {file}
applicationName = python
streamName = {stream}
workerIdentifier = {worker}
kinesisEndpoint = {endpoint}
dynamoDBEndpoint = {leases}
metricsLevel = NONE
regionName = us-east-1
AwsCredentialsProvider = DefaultCredentialsProvider
initialPositionInStream = TRIM_HORIZON
leaseAssignmentIntervalMillis = 5000
shardSyncIntervalMillis = 5000
parentShardPollIntervalMillis = 1000
disableWorkerMetrics = true
shutdownGraceMillis = 30000
"""


def daemon(endpoint, leases, stream, worker, file):
    here = os.path.dirname(os.path.abspath(__file__))
    properties = file + ".properties"
    with open(properties, "w", encoding="ascii") as f:
        f.write(PROPERTIES.format(python=sys.executable, script=os.path.join(here, "consumer.py"), **locals()))
    os.environ.update(AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="secret")
    jars = os.path.join(os.path.dirname(amazon_kclpy.__file__), "jars", "*")
    os.execvp("java", ["java", "-XX:TieredStopAtLevel=1", "-cp", jars, "software.amazon.kinesis.multilang.MultiLangDaemon",
                       "--properties-file", properties, "--log-configuration", os.path.join(here, "logback.xml")])


class Processor(processor.RecordProcessorBase):
    def __init__(self, worker, file):
        self.worker = worker
        self.out = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def initialize(self, initialize_input):
        self.shard = initialize_input.shard_id

    def process_records(self, process_records_input):
        for r in process_records_input.records:
            line = "\t".join([self.worker, self.shard, r.sequence_number, r.partition_key, r.binary_data.decode()]) + "\n"
            os.write(self.out, line.encode())  # in one piece, so that the workers' lines stand in the order of time
        process_records_input.checkpointer.checkpoint()

    def lease_lost(self, lease_lost_input):
        pass

    def shard_ended(self, shard_ended_input):
        shard_ended_input.checkpointer.checkpoint()

    def shutdown_requested(self, shutdown_requested_input):
        shutdown_requested_input.checkpointer.checkpoint()


if len(sys.argv) > 3:
    daemon(*sys.argv[1:])
else:
    kcl.KCLProcess(Processor(*sys.argv[1:])).run()
