import java.io.PrintWriter;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.GetRecordsResponse;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.kinesis.retrieval.AggregatorUtil;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

/**
 * Reads streams and takes aggregates apart as the Kinesis Client Library does, with its own code. Of each user record it
 * writes the shard, the sequence number, the key and the data (in base64) and whether it was in an aggregate to a file named
 * like the stream.
 *
 * <p>Arguments: endpoint, access key, secret key, folder, streams.
 */
public final class Reader {
  public static void main(String[] args) throws Exception {
    KinesisClient client = KinesisClient.builder().endpointOverride(URI.create(args[0])).region(Region.US_EAST_1)
        .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create(args[1], args[2]))).build();
    for (String stream : Arrays.asList(args).subList(4, args.length)) {
      try (PrintWriter out = new PrintWriter(Path.of(args[3], stream).toFile(), StandardCharsets.US_ASCII)) {
        read(client, stream, out);
        if (out.checkError()) {
          throw new IllegalStateException("what was read is not written");
        }
      }
    }
    System.exit(0); // threads may be left
  }

  static void read(KinesisClient client, String stream, PrintWriter out) {
    AggregatorUtil aggregator = new AggregatorUtil();
    for (Shard s : client.listShards(b -> b.streamName(stream)).shards()) {
      String it = client.getShardIterator(b -> b.streamName(stream).shardId(s.shardId()).shardIteratorType(ShardIteratorType.TRIM_HORIZON)).shardIterator();
      while (true) {
        String from = it;
        GetRecordsResponse page = client.getRecords(b -> b.shardIterator(from));
        List<KinesisClientRecord> records = page.records().stream().map(KinesisClientRecord::fromRecord).toList();
        for (KinesisClientRecord r : aggregator.deaggregate(records, s.hashKeyRange().startingHashKey(), s.hashKeyRange().endingHashKey())) {
          out.println(s.shardId() + "\t" + r.sequenceNumber() + "\t" + base64(r.partitionKey().getBytes(StandardCharsets.UTF_8))
              + "\t" + base64(bytes(r.data())) + "\t" + r.aggregated());
        }
        if (page.records().isEmpty() && page.millisBehindLatest() == 0) {
          break;
        }
        it = page.nextShardIterator();
      }
    }
  }

  static byte[] bytes(ByteBuffer b) {
    byte[] out = new byte[b.remaining()];
    b.duplicate().get(out);
    return out;
  }

  static String base64(byte[] b) {
    return Base64.getEncoder().encodeToString(b);
  }
}
