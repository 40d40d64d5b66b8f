import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.common.util.concurrent.MoreExecutors;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordFailedException;
import software.amazon.kinesis.producer.UserRecordResult;

/**
 * Puts a corpus twice with the Kinesis Producer Library, which aggregates its records: to the stream "flood" as fast as the
 * library takes it, and to "in-turn", a record of a key once the one before is acknowledged. The library keeps no order
 * itself; this is how a program has one. The shard, the sequence number and the tries of each record are written to a file
 * named like the stream, in the corpus' order.
 *
 * <p>Arguments: host, port, file of the server's CA, access key, secret key, corpus, folder.
 */
public final class Producer {
  record Entry(String key, ByteBuffer data, String hash) {}

  static final String WARM_UP = "warm up";

  final KinesisProducer producer;
  final String stream;
  final List<Entry> corpus;
  final UserRecordResult[] results;
  final CountDownLatch left;
  final Semaphore underWay = new Semaphore(20_000); // the library keeps what is not put in memory

  Producer(KinesisProducer producer, String stream, List<Entry> corpus) {
    this.producer = producer;
    this.stream = stream;
    this.corpus = corpus;
    results = new UserRecordResult[corpus.size()];
    left = new CountDownLatch(corpus.size());
  }

  /**
   * Waits until the library aggregates. Its process begins before it has keys, and does not know the shards until it has
   * them; until then it tries again and again, and puts each record by itself.
   */
  void warmUp() throws Exception {
    ByteBuffer data = ByteBuffer.wrap(WARM_UP.getBytes(StandardCharsets.UTF_8));
    String first;
    String second;
    do {
      var one = producer.addUserRecord(stream, WARM_UP, data.duplicate());
      var two = producer.addUserRecord(stream, WARM_UP, data.duplicate());
      producer.flush();
      first = one.get().getSequenceNumber();
      second = two.get().getSequenceNumber();
    } while (!first.equals(second));
  }

  /** Puts a record of the corpus, and calls then once it is acknowledged. */
  void put(int at, Runnable then) {
    Entry e = corpus.get(at);
    Futures.addCallback(producer.addUserRecord(stream, e.key, e.hash, e.data.duplicate()), new FutureCallback<UserRecordResult>() {
      @Override
      public void onSuccess(UserRecordResult r) {
        results[at] = r;
        left.countDown();
        then.run();
      }

      @Override
      public void onFailure(Throwable e) {
        if (e instanceof UserRecordFailedException failed) {
          failed.getResult().getAttempts().forEach(a -> System.err.println(a.getErrorCode() + ": " + a.getErrorMessage()));
        }
        e.printStackTrace();
        System.exit(1);
      }
    }, MoreExecutors.directExecutor());
  }

  void flood() throws Exception {
    for (int i = 0; i < results.length; i++) {
      underWay.acquire();
      put(i, underWay::release);
    }
  }

  void inTurn() {
    Map<String, Queue<Integer>> keys = new HashMap<>();
    for (int i = 0; i < results.length; i++) {
      keys.computeIfAbsent(corpus.get(i).key, k -> new ArrayDeque<>()).add(i);
    }
    List.copyOf(keys.values()).forEach(this::next);
  }

  /** Puts the next record of a key, whose records are nobody else's. */
  void next(Queue<Integer> key) {
    Integer at = key.poll();
    if (at != null) {
      put(at, () -> next(key));
    }
  }

  void write(String folder) throws Exception {
    if (!left.await(20, TimeUnit.MINUTES)) {
      throw new IllegalStateException(left.getCount() + " records are not put");
    }
    List<String> lines = new ArrayList<>();
    for (UserRecordResult r : results) {
      lines.add(r.getShardId() + "\t" + r.getSequenceNumber() + "\t" + r.getAttempts().size());
    }
    Files.write(Path.of(folder, stream), lines);
  }

  static List<Entry> read(String path) throws Exception {
    List<Entry> out = new ArrayList<>();
    Base64.Decoder plain = Base64.getDecoder();
    for (String line : Files.readAllLines(Path.of(path), StandardCharsets.US_ASCII)) {
      String[] f = line.split("\t", -1);
      out.add(new Entry(new String(plain.decode(f[0]), StandardCharsets.UTF_8), ByteBuffer.wrap(plain.decode(f[1])), f[2].isEmpty() ? null : f[2]));
    }
    return out;
  }

  public static void main(String[] args) throws Exception {
    long port = Long.parseLong(args[1]);
    KinesisProducer producer = new KinesisProducer(new KinesisProducerConfiguration()
        .setCredentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create(args[3], args[4])))
        .setRegion("us-east-1").setKinesisEndpoint(args[0]).setKinesisPort(port).setCloudwatchEndpoint(args[0]).setCloudwatchPort(port)
        .setCaCertFile(args[2]).setVerifyCertificate(true).setTempDirectory(args[6])
        .setMetricsLevel("detailed").setMetricsGranularity("shard").setMetricsUploadDelay(2000)
        .setRequestTimeout(60_000).setRecordTtl(1_200_000)); // what is tried again may be put twice
    List<Entry> corpus = read(args[5]);
    Producer flood = new Producer(producer, "flood", corpus);
    flood.warmUp();
    flood.flood();
    flood.write(args[6]);
    Producer inTurn = new Producer(producer, "in-turn", corpus);
    inTurn.warmUp();
    inTurn.inTurn();
    inTurn.write(args[6]);
    Thread.sleep(5000); // metrics are on their way
    producer.destroy();
    System.exit(0); // threads are left
  }
}
