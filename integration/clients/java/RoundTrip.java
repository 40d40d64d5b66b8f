import java.io.PrintWriter;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.client.config.ClientOverrideConfiguration;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.retries.DefaultRetryStrategy;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.*;

/**
 * A client of the SDK for Java: see doc.go for what it is asked to do and what it tells. The first argument is sync, over
 * HTTP/1.1, or async, over HTTP/2 with prior knowledge. The content type that all requests have to have is the second.
 */
public final class RoundTrip {
  /** One of the two clients that the SDK has. */
  interface Api extends AutoCloseable {
    CreateStreamResponse create(CreateStreamRequest r);
    DeleteStreamResponse delete(DeleteStreamRequest r);
    DescribeStreamResponse describe(DescribeStreamRequest r);
    DescribeStreamSummaryResponse summary(DescribeStreamSummaryRequest r);
    ListStreamsResponse streams(ListStreamsRequest r);
    ListShardsResponse shards(ListShardsRequest r);
    PutRecordResponse put(PutRecordRequest r);
    PutRecordsResponse puts(PutRecordsRequest r);
    GetShardIteratorResponse iterator(GetShardIteratorRequest r);
    GetRecordsResponse get(GetRecordsRequest r);
    void waitUntil(boolean exists, String stream);
    void close();
  }

  /** Checks that requests are of the protocol that was asked for. */
  record Protocols(String type) implements ExecutionInterceptor {
    @Override
    public void beforeTransmission(Context.BeforeTransmission c, ExecutionAttributes a) {
      check(c.httpRequest().firstMatchingHeader("Content-Type").orElse("").equals(type), "a request is not " + type + ": " + c.httpRequest());
    }
  }

  static ClientOverrideConfiguration once(String type) {
    return ClientOverrideConfiguration.builder().addExecutionInterceptor(new Protocols(type))
        .retryStrategy(DefaultRetryStrategy.doNotRetry()).build();
  }

  static final StaticCredentialsProvider KEY = StaticCredentialsProvider.create(AwsBasicCredentials.create("key", "secret"));

  static Api sync(URI endpoint, String type) {
    KinesisClient c = KinesisClient.builder().endpointOverride(endpoint).region(Region.US_EAST_1).credentialsProvider(KEY)
        .httpClientBuilder(UrlConnectionHttpClient.builder()).overrideConfiguration(once(type)).build();
    return new Api() {
      public CreateStreamResponse create(CreateStreamRequest r) { return c.createStream(r); }
      public DeleteStreamResponse delete(DeleteStreamRequest r) { return c.deleteStream(r); }
      public DescribeStreamResponse describe(DescribeStreamRequest r) { return c.describeStream(r); }
      public DescribeStreamSummaryResponse summary(DescribeStreamSummaryRequest r) { return c.describeStreamSummary(r); }
      public ListStreamsResponse streams(ListStreamsRequest r) { return c.listStreams(r); }
      public ListShardsResponse shards(ListShardsRequest r) { return c.listShards(r); }
      public PutRecordResponse put(PutRecordRequest r) { return c.putRecord(r); }
      public PutRecordsResponse puts(PutRecordsRequest r) { return c.putRecords(r); }
      public GetShardIteratorResponse iterator(GetShardIteratorRequest r) { return c.getShardIterator(r); }
      public GetRecordsResponse get(GetRecordsRequest r) { return c.getRecords(r); }
      public void waitUntil(boolean exists, String s) {
        if (exists) {
          c.waiter().waitUntilStreamExists(d -> d.streamName(s), RoundTrip::often);
        } else {
          c.waiter().waitUntilStreamNotExists(d -> d.streamName(s), RoundTrip::often);
        }
      }
      public void close() { c.close(); }
    };
  }

  static Api async(URI endpoint, String type) {
    KinesisAsyncClient c = KinesisAsyncClient.builder().endpointOverride(endpoint).region(Region.US_EAST_1).credentialsProvider(KEY)
        .httpClientBuilder(NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP2)).overrideConfiguration(once(type)).build();
    return new Api() {
      public CreateStreamResponse create(CreateStreamRequest r) { return c.createStream(r).join(); }
      public DeleteStreamResponse delete(DeleteStreamRequest r) { return c.deleteStream(r).join(); }
      public DescribeStreamResponse describe(DescribeStreamRequest r) { return c.describeStream(r).join(); }
      public DescribeStreamSummaryResponse summary(DescribeStreamSummaryRequest r) { return c.describeStreamSummary(r).join(); }
      public ListStreamsResponse streams(ListStreamsRequest r) { return c.listStreams(r).join(); }
      public ListShardsResponse shards(ListShardsRequest r) { return c.listShards(r).join(); }
      public PutRecordResponse put(PutRecordRequest r) { return c.putRecord(r).join(); }
      public PutRecordsResponse puts(PutRecordsRequest r) { return c.putRecords(r).join(); }
      public GetShardIteratorResponse iterator(GetShardIteratorRequest r) { return c.getShardIterator(r).join(); }
      public GetRecordsResponse get(GetRecordsRequest r) { return c.getRecords(r).join(); }
      public void waitUntil(boolean exists, String s) {
        if (exists) {
          c.waiter().waitUntilStreamExists(d -> d.streamName(s), RoundTrip::often).join();
        } else {
          c.waiter().waitUntilStreamNotExists(d -> d.streamName(s), RoundTrip::often).join();
        }
      }
      public void close() { c.close(); }
    };
  }

  static void often(software.amazon.awssdk.core.waiters.WaiterOverrideConfiguration.Builder b) {
    b.maxAttempts(60).backoffStrategyV2(software.amazon.awssdk.retries.api.BackoffStrategy.fixedDelay(Duration.ofSeconds(1)));
  }

  static void check(boolean ok, String what) {
    if (!ok) {
      throw new AssertionError(what);
    }
  }

  static String base64(byte[] b) { return Base64.getEncoder().encodeToString(b); }

  record Entry(String key, byte[] data, String hash) {
    static Entry of(String line) {
      String[] f = line.split("\t", -1);
      return new Entry(new String(Base64.getDecoder().decode(f[0]), StandardCharsets.UTF_8), Base64.getDecoder().decode(f[1]), f[2].isEmpty() ? null : f[2]);
    }
  }

  final Api api;
  final String stream;
  final PrintWriter out;

  RoundTrip(Api api, String stream, PrintWriter out) {
    this.api = api;
    this.stream = stream;
    this.out = out;
  }

  void tell(Object... fields) {
    List<String> text = new ArrayList<>();
    for (Object f : fields) {
      text.add(String.valueOf(f));
    }
    out.print(String.join("\t", text) + "\n");
  }

  /** Puts the first one by itself and the others in calls that PutRecords takes. */
  void put(List<Entry> entries, int first) {
    Entry e = entries.get(0);
    PutRecordResponse one = api.put(PutRecordRequest.builder().streamName(stream).partitionKey(e.key).explicitHashKey(e.hash).data(SdkBytes.fromByteArray(e.data)).build());
    tell("put", first, one.shardId(), one.sequenceNumber());
    for (int at = 1; at < entries.size();) {
      List<PutRecordsRequestEntry> some = new ArrayList<>();
      for (int size = 0; at + some.size() < entries.size() && some.size() < 100 && size < 4 << 20;) {
        Entry x = entries.get(at + some.size());
        some.add(PutRecordsRequestEntry.builder().partitionKey(x.key).explicitHashKey(x.hash).data(SdkBytes.fromByteArray(x.data)).build());
        size += x.data.length;
      }
      PutRecordsResponse r = api.puts(PutRecordsRequest.builder().streamName(stream).records(some).build());
      check(r.failedRecordCount() == 0, r.toString());
      for (PutRecordsResultEntry a : r.records()) {
        tell("put", first + at++, a.shardId(), a.sequenceNumber());
      }
    }
  }

  String iterator(String shard, Function<GetShardIteratorRequest.Builder, GetShardIteratorRequest.Builder> where) {
    return api.iterator(where.apply(GetShardIteratorRequest.builder().streamName(stream).shardId(shard)).build()).shardIterator();
  }

  /** Reads from an iterator to the tip. */
  List<software.amazon.awssdk.services.kinesis.model.Record> read(String section, String shard, String it) {
    List<software.amazon.awssdk.services.kinesis.model.Record> all = new ArrayList<>();
    for (;;) {
      GetRecordsResponse page = api.get(GetRecordsRequest.builder().shardIterator(it).limit(1000).build());
      all.addAll(page.records());
      if (page.records().isEmpty() && page.millisBehindLatest() == 0) {
        break;
      }
      it = page.nextShardIterator();
    }
    for (var r : all) {
      Instant at = r.approximateArrivalTimestamp();
      check(at.getNano() % 1_000_000 == 0, "an arrival is not of whole milliseconds: " + at);
      tell(section, shard, r.sequenceNumber(), base64(r.partitionKey().getBytes(StandardCharsets.UTF_8)), base64(r.data().asByteArray()), at.toEpochMilli());
    }
    return all;
  }

  void raises(Class<? extends KinesisException> type, Runnable call) {
    try {
      call.run();
    } catch (RuntimeException e) {
      Throwable why = e instanceof CompletionException ? e.getCause() : e;
      if (!type.isInstance(why)) {
        throw new AssertionError(type.getSimpleName() + " was not raised", e);
      }
      KinesisException k = type.cast(why);
      check(k.requestId() != null, "no request id");
      tell("error", type.getSimpleName(), k.statusCode(), k.awsErrorDetails().errorMessage());
      return;
    }
    throw new AssertionError(type.getSimpleName() + " was not raised");
  }

  void run(List<Entry> entries, boolean old) throws InterruptedException {
    api.create(CreateStreamRequest.builder().streamName(stream).shardCount(4).build());
    api.waitUntil(true, stream);
    StreamDescriptionSummary s = api.summary(DescribeStreamSummaryRequest.builder().streamName(stream).build()).streamDescriptionSummary();
    check(s.streamStatus() == StreamStatus.ACTIVE && s.openShardCount() == 4, s.toString());
    check(Duration.between(s.streamCreationTimestamp(), Instant.now()).abs().toMinutes() < 10, s.toString());
    check(api.streams(ListStreamsRequest.builder().build()).streamSummaries().get(0).streamCreationTimestamp().equals(s.streamCreationTimestamp()), "a stream was made at two times");
    ListShardsResponse page = api.shards(ListShardsRequest.builder().streamName(stream).maxResults(3).build());
    List<Shard> listed = new ArrayList<>(page.shards());
    listed.addAll(api.shards(ListShardsRequest.builder().nextToken(page.nextToken()).build()).shards());
    check(listed.equals(api.describe(DescribeStreamRequest.builder().streamName(stream).build()).streamDescription().shards()), listed.toString());
    Map<String, String> starts = new TreeMap<>();
    for (Shard shard : listed) {
      starts.put(shard.shardId(), iterator(shard.shardId(), b -> b.shardIteratorType(ShardIteratorType.LATEST)));
    }
    int half = entries.size() / 2;
    put(entries.subList(0, half), 0);
    Thread.sleep(10);
    put(entries.subList(half, entries.size()), half);
    for (String shard : starts.keySet()) {
      var all = read("trim", shard, iterator(shard, b -> b.shardIteratorType(ShardIteratorType.TRIM_HORIZON)));
      read("latest", shard, starts.get(shard));
      var middle = all.get(all.size() / 2);
      read("at-sequence", shard, iterator(shard, b -> b.shardIteratorType(ShardIteratorType.AT_SEQUENCE_NUMBER).startingSequenceNumber(middle.sequenceNumber())));
      read("after-sequence", shard, iterator(shard, b -> b.shardIteratorType(ShardIteratorType.AFTER_SEQUENCE_NUMBER).startingSequenceNumber(middle.sequenceNumber())));
      Instant at = middle.approximateArrivalTimestamp();
      tell("asked", shard, at.toEpochMilli());
      read("at-timestamp", shard, iterator(shard, b -> b.shardIteratorType(ShardIteratorType.AT_TIMESTAMP).timestamp(at)));
    }
    raises(ResourceInUseException.class, () -> api.create(CreateStreamRequest.builder().streamName(stream).shardCount(1).build()));
    raises(ResourceNotFoundException.class, () -> api.describe(DescribeStreamRequest.builder().streamName("none").build()));
    raises(InvalidArgumentException.class, () -> api.get(GetRecordsRequest.builder().shardIterator("AAAA").build()));
    raises(LimitExceededException.class, () -> api.create(CreateStreamRequest.builder().streamName("large").shardCount(1_000_000).build()));
    raises(ValidationException.class, () -> api.create(CreateStreamRequest.builder().streamName("no name").shardCount(1).build()));
    if (old) { // five minutes is how long both can be used
      TimeUnit.SECONDS.sleep(301);
      raises(ExpiredIteratorException.class, () -> api.get(GetRecordsRequest.builder().shardIterator(starts.values().iterator().next()).build()));
      raises(ExpiredNextTokenException.class, () -> api.shards(ListShardsRequest.builder().nextToken(page.nextToken()).build()));
    }
    api.create(CreateStreamRequest.builder().streamName(stream + "-0").shardCount(1).build());
    api.waitUntil(true, stream + "-0");
    api.delete(DeleteStreamRequest.builder().streamName(stream + "-0").build());
    api.waitUntil(false, stream + "-0");
    check(api.streams(ListStreamsRequest.builder().build()).streamNames().equals(List.of(stream)), "a stream was not deleted");
  }

  public static void main(String[] args) throws Exception {
    URI endpoint = URI.create(args[2]);
    List<Entry> entries = Files.readAllLines(Path.of(args[4]), StandardCharsets.US_ASCII).stream().map(Entry::of).toList();
    try (Api api = args[0].equals("sync") ? sync(endpoint, args[1]) : async(endpoint, args[1]); PrintWriter out = new PrintWriter(args[5], StandardCharsets.US_ASCII)) {
      new RoundTrip(api, args[3], out).run(entries, args[6].equals("old"));
    }
    System.out.println("SDK for Java, " + args[0] + " with " + args[1] + ", put and read " + entries.size() + " records");
  }
}
