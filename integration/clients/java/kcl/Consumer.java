import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
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
import software.amazon.kinesis.metrics.MetricsLevel;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * A worker of the Kinesis Client Library. It writes the shard, the sequence number and the text of each record that it
 * processes to a file, and then checkpoints. A line on standard input, or its end, ends it as a deployment would.
 *
 * <p>Arguments: endpoint, endpoint of DynamoDB, stream, worker, file.
 */
public final class Consumer {
  static <B extends AwsClientBuilder<B, ?>> B at(B builder, String endpoint) {
    return builder.endpointOverride(URI.create(endpoint)).region(Region.US_EAST_1)
        .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("key", "secret")));
  }

  record Processed(PrintWriter out, String[] shard) implements ShardRecordProcessor {
    @Override
    public void initialize(InitializationInput in) {
      shard[0] = in.shardId();
    }

    @Override
    public void processRecords(ProcessRecordsInput in) {
      synchronized (out) {
        for (KinesisClientRecord r : in.records()) {
          out.print(shard[0] + "\t" + r.sequenceNumber() + "\t" + StandardCharsets.UTF_8.decode(r.data()) + "\n");
        }
        out.flush();
        if (out.checkError()) {
          throw new UncheckedIOException(new IOException("what was processed is not written"));
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
    String stream = args[2];
    PrintWriter out = new PrintWriter(new FileOutputStream(args[4]), false, StandardCharsets.UTF_8);
    KinesisAsyncClient kinesis = KinesisClientUtil.createKinesisAsyncClient(at(KinesisAsyncClient.builder(), args[0]));
    DynamoDbAsyncClient leases = at(DynamoDbAsyncClient.builder(), args[1]).build();
    CloudWatchAsyncClient metrics = at(CloudWatchAsyncClient.builder(), "http://127.0.0.1:1").build(); // none are sent
    SingleStreamTracker start = new SingleStreamTracker(stream, InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON));
    ConfigsBuilder c = new ConfigsBuilder(start, "consumer", kinesis, leases, metrics, args[3], () -> new Processed(out, new String[1]));
    var management = c.leaseManagementConfig().failoverTimeMillis(5000).shardSyncIntervalMillis(5000);
    management.workerUtilizationAwareAssignmentConfig().disableWorkerMetrics(true).varianceBalancingFrequency(1);
    Scheduler scheduler = new Scheduler(c.checkpointConfig(), c.coordinatorConfig().parentShardPollIntervalMillis(1000), management, c.lifecycleConfig(),
        c.metricsConfig().metricsLevel(MetricsLevel.NONE), c.processorConfig(),
        c.retrievalConfig().retrievalSpecificConfig(new PollingConfig(stream, kinesis).idleTimeBetweenReadsInMillis(500)));
    Thread running = new Thread(scheduler);
    running.start();
    System.in.read();
    if (!scheduler.startGracefulShutdown().get(1, TimeUnit.MINUTES)) {
      throw new IllegalStateException("the worker did not end");
    }
    running.join();
    System.out.println(args[3] + " ended");
    System.exit(0); // threads of the clients are left
  }
}
