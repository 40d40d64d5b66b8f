import java.io.PrintWriter;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.async.SdkPublisher;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.*;

/** A subscriber of the SDK for Java: see doc.go for what it is asked to do and what it tells. */
public final class Subscribe {
  final KinesisAsyncClient client;
  final String consumer;
  final PrintWriter out;
  final boolean old;

  Subscribe(KinesisAsyncClient client, String consumer, PrintWriter out, boolean old) {
    this.client = client;
    this.consumer = consumer;
    this.out = out;
    this.old = old;
  }

  synchronized void tell(Object... fields) {
    out.print(String.join("\t", Stream.of(fields).map(String::valueOf).toList()) + "\n");
    out.flush();
  }

  static String base64(byte[] b) { return Base64.getEncoder().encodeToString(b); }

  /** A subscription of a shard and what it brought. */
  final class Subscription {
    final String shard;
    int records;
    long lasted; // milliseconds
    StartingPosition next; // where to go on
    List<ChildShard> children = List.of();

    Subscription(String shard, StartingPosition from) {
      this.shard = shard;
      this.next = from;
    }

    void event(SubscribeToShardEvent e) {
      for (var r : e.records()) {
        tell("record", shard, r.sequenceNumber(), base64(r.partitionKey().getBytes(StandardCharsets.UTF_8)), base64(r.data().asByteArray()), r.approximateArrivalTimestamp().toEpochMilli());
      }
      records += e.records().size();
      children = e.childShards();
      if (e.continuationSequenceNumber() != null) {
        next = StartingPosition.builder().type(ShardIteratorType.AFTER_SEQUENCE_NUMBER).sequenceNumber(e.continuationSequenceNumber()).build();
      }
    }

    /** Reads until the server ends the subscription, or to the first event. */
    void read(boolean all) throws InterruptedException {
      long began = System.currentTimeMillis();
      CompletableFuture<Void> over = new CompletableFuture<>();
      var handler = SubscribeToShardResponseHandler.builder().onError(over::completeExceptionally).onEventStream(stream -> {
        SdkPublisher<SubscribeToShardEvent> events = stream.filter(SubscribeToShardEvent.class);
        (all ? events : events.limit(1)).subscribe(this::event).thenRun(() -> over.complete(null));
      }).build();
      StartingPosition from = next;
      client.subscribeToShard(r -> r.consumerARN(consumer).shardId(shard).startingPosition(from), handler);
      over.join();
      lasted = System.currentTimeMillis() - began;
    }
  }

  /** Reads a shard to its end. */
  Void read(String shard) throws InterruptedException {
    StartingPosition from = StartingPosition.builder().type(ShardIteratorType.TRIM_HORIZON).build();
    for (boolean all = old;;) {
      Subscription s = new Subscription(shard, from);
      try {
        s.read(all);
      } catch (CompletionException e) {
        if (!(e.getCause() instanceof ResourceInUseException)) {
          throw e;
        }
        TimeUnit.SECONDS.sleep(1); // the subscription before has not ended yet
        continue;
      }
      tell("subscription", shard, s.records, s.lasted);
      for (ChildShard c : s.children) {
        tell("child", shard, c.shardId(), String.join(",", c.parentShards()), c.hashKeyRange().startingHashKey(), c.hashKeyRange().endingHashKey());
      }
      if (!s.children.isEmpty()) {
        return null;
      }
      from = s.next;
      all = true;
    }
  }

  public static void main(String[] args) throws Exception {
    var key = StaticCredentialsProvider.create(AwsBasicCredentials.create("key", "secret"));
    try (KinesisAsyncClient client = KinesisAsyncClient.builder().endpointOverride(URI.create(args[0])).region(Region.US_EAST_1).credentialsProvider(key)
            .httpClientBuilder(NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP2)).build();
        PrintWriter out = new PrintWriter(args[3], StandardCharsets.US_ASCII)) {
      Subscribe s = new Subscribe(client, args[1], out, args[4].equals("old"));
      var threads = Executors.newCachedThreadPool();
      List<java.util.concurrent.Future<Void>> shards = new ArrayList<>();
      for (String shard : args[2].split(",")) { // they share a connection
        shards.add(threads.submit(() -> s.read(shard)));
      }
      threads.shutdown();
      for (var shard : shards) {
        shard.get();
      }
    }
  }
}
