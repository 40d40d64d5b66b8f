import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.KinesisClientUtil;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.RetrievalSpecificConfig;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * A worker of two applications of the Kinesis Client Library: one polls, the other one has enhanced fan-out. It appends
 * its name and the shard, the sequence number, the key and the text of each record that it processes to the
 * application's file, and then checkpoints. A line on standard input, or its end, ends it as a deployment would.
 *
 * <p>Arguments: endpoint, endpoint of DynamoDB, stream, worker, folder of the files; and the application, if not both, which
 * then has the settings that the library has by itself if its failover time follows, in milliseconds.
 */
public final class Consumer {
  static <B extends AwsClientBuilder<B, ?>> B at(B builder, String endpoint) {
    return builder.endpointOverride(URI.create(endpoint)).region(Region.US_EAST_1)
        .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("key", "secret")));
  }

  record Processed(FileOutputStream out, String worker, String[] shard) implements ShardRecordProcessor {
    @Override
    public void initialize(InitializationInput in) {
      shard[0] = in.shardId();
    }

    @Override
    public void processRecords(ProcessRecordsInput in) {
      for (KinesisClientRecord r : in.records()) {
        String line = String.join("\t", worker, shard[0], r.sequenceNumber(), r.partitionKey(), StandardCharsets.UTF_8.decode(r.data())) + "\n";
        try {
          out.write(line.getBytes(StandardCharsets.UTF_8)); // in one piece, so that the workers' lines stand in the order of time
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
      }
      checkpoint(in.checkpointer());
    }

    static void checkpoint(RecordProcessorCheckpointer c) {
      try {
        c.checkpoint();
      } catch (ShutdownException e) {
        System.err.println("another worker has the shard: " + e.getMessage());
      } catch (InvalidStateException e) {
        throw new IllegalStateException(e);
      }
    }

    @Override
    public void leaseLost(LeaseLostInput in) {}

    @Override
    public void shardEnded(ShardEndedInput in) {
      checkpoint(in.checkpointer());
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput in) {
      checkpoint(in.checkpointer());
    }
  }

  public static void main(String[] args) throws Exception {
    String stream = args[2], worker = args[3];
    KinesisAsyncClient kinesis = KinesisClientUtil.createKinesisAsyncClient(at(KinesisAsyncClient.builder(), args[0]));
    DynamoDbAsyncClient leases = at(DynamoDbAsyncClient.builder(), args[1]).build();
    CloudWatchAsyncClient metrics = at(CloudWatchAsyncClient.builder(), args[0]).build();
    List<Scheduler> schedulers = new ArrayList<>();
    for (String application : args.length > 5 ? List.of(args[5]) : List.of("polling", "fan-out")) {
      FileOutputStream out = new FileOutputStream(Path.of(args[4], application).toFile(), true);
      SingleStreamTracker start = new SingleStreamTracker(stream, InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON));
      ConfigsBuilder c = new ConfigsBuilder(start, application, kinesis, leases, metrics, worker, () -> new Processed(out, worker, new String[1]));
      var management = c.leaseManagementConfig().failoverTimeMillis(args.length > 6 ? Long.parseLong(args[6]) : 10_000);
      if (args.length < 7) { // leases move and dead workers are missed within seconds, but not because a machine is slow
        management.leaseAssignmentIntervalMillis(5000L).shardSyncIntervalMillis(5000)
            .dynamoDbLockBasedLeaderLeaseDurationInMillis(20_000).dynamoDbLockBasedLeaderHeartbeatPeriodInMillis(5000);
        management.workerUtilizationAwareAssignmentConfig().disableWorkerMetrics(true).workerMetricsReporterFreqInMillis(5000).varianceBalancingFrequency(1);
      }
      RetrievalSpecificConfig retrieval = application.equals("fan-out")
          ? new FanOutConfig(kinesis).streamName(stream).applicationName(application)
          : new PollingConfig(stream, kinesis).idleTimeBetweenReadsInMillis(500);
      schedulers.add(new Scheduler(c.checkpointConfig(), c.coordinatorConfig().parentShardPollIntervalMillis(1000), management, c.lifecycleConfig(),
          c.metricsConfig(), c.processorConfig(), c.retrievalConfig().retrievalSpecificConfig(retrieval)));
    }
    schedulers.forEach(s -> new Thread(s).start());
    System.in.read();
    // One that is false has ended all the same: the library may see the last lease go before it counts it.
    CompletableFuture.allOf(schedulers.stream().map(Scheduler::startGracefulShutdown).toArray(CompletableFuture[]::new)).get(1, TimeUnit.MINUTES);
    System.out.println(worker + " ended");
    System.exit(0); // threads of the clients are left
  }
}
