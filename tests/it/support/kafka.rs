//! A Kafka cluster in the test process: the mock cluster of librdkafka, behind a server that adds what it lacks, a
//! controller that creates topics, and that replaces it by an empty one when a test wipes it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use bytes::{Buf, BufMut};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};

use super::brokers::Rejected;
use super::proxy::move_kafka;

const API_VERSIONS: i16 = 18;
const CREATE_TOPICS: i16 = 19;
/// The versions of the request to create topics that are understood: the last ones without compact fields.
const CREATE_TOPICS_VERSIONS: [i16; 2] = [4, 4];
const TOPIC_ALREADY_EXISTS: i16 = 36;

/// The cluster. It ends when it is dropped.
pub struct TestCluster {
    /// The URL.
    pub url: String,
    replace: Option<mpsc::Sender<oneshot::Sender<()>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl TestCluster {
    /// Starts an empty cluster.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("kafka://{}", listener.local_addr().unwrap());
        let (replace, replacements) = mpsc::channel(1);
        // the mock cluster stays on one thread
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, serve(listener, replacements));
        });
        Self { url, replace: Some(replace), thread: Some(thread) }
    }

    /// Replaces the cluster by an empty one at the same address.
    pub async fn wipe(&self) {
        let (done, wiped) = oneshot::channel();
        self.replace.as_ref().unwrap().send(done).await.unwrap();
        wiped.await.unwrap();
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        self.replace.take();
        self.thread.take().unwrap().join().unwrap();
    }
}

async fn serve(listener: std::net::TcpListener, mut replacements: mpsc::Receiver<oneshot::Sender<()>>) {
    let listener = TcpListener::from_std(listener).unwrap();
    let port = listener.local_addr().unwrap().port();
    loop {
        let cluster = Rc::new(MockCluster::new(1).unwrap());
        let mut connections = JoinSet::new();
        let replaced = loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (client, _) = accepted.unwrap();
                    connections.spawn_local(forward(client, Rc::clone(&cluster), port));
                }
                replaced = replacements.recv() => break replaced,
            }
        };
        connections.shutdown().await;
        let Some(replaced) = replaced else { return };
        drop(cluster);
        replaced.send(()).unwrap();
    }
}

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// Passes requests and responses on until a side closes.
async fn forward(client: TcpStream, cluster: Rc<Cluster>, port: u16) -> io::Result<()> {
    let address = cluster.bootstrap_servers();
    let server_port = address.rsplit(':').next().unwrap().parse().unwrap();
    let (mut responses, mut server) = TcpStream::connect(&address).await?.into_split();
    let (mut requests, client) = client.into_split();
    let client = tokio::sync::Mutex::new(client);
    // the requests for the versions that the cluster supports, by their numbers
    let versions = RefCell::new(BTreeSet::new());
    let there = async {
        loop {
            let frame = read_frame(&mut requests).await?;
            let mut header = frame.as_slice();
            let (key, version, number) = (header.get_i16(), header.get_i16(), header.get_i32());
            if key == CREATE_TOPICS {
                let response = create_topics(number, header, &cluster);
                client.lock().await.write_all(&framed(&response)).await?;
                continue;
            }
            if key == API_VERSIONS && version < 3 {
                versions.borrow_mut().insert(number);
            }
            server.write_all(&framed(&frame)).await?;
        }
    };
    let back = async {
        loop {
            let mut frame = read_frame(&mut responses).await?;
            if versions.borrow_mut().remove(&frame.as_slice().get_i32()) {
                frame = with_create_topics(&frame);
            }
            name_controller(&mut frame);
            move_kafka(&mut frame, server_port, port);
            client.lock().await.write_all(&framed(&frame)).await?;
        }
    };
    tokio::select! {
        ended = there => ended,
        ended = back => ended,
    }
}

async fn read_frame(from: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; from.read_u32().await? as usize];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

fn framed(frame: &[u8]) -> Vec<u8> {
    let length = u32::try_from(frame.len()).unwrap();
    [&length.to_be_bytes(), frame].concat()
}

/// Adds the creation of topics to the response about supported versions: number, error, count, and for each request its
/// key and versions.
fn with_create_topics(frame: &[u8]) -> Vec<u8> {
    let (mut start, rest) = (frame[..6].to_vec(), &frame[10..]);
    start.put_i32((&frame[6..]).get_i32() + 1);
    start.put_i16(CREATE_TOPICS);
    for version in CREATE_TOPICS_VERSIONS {
        start.put_i16(version);
    }
    [&start, rest].concat()
}

/// Names the only broker as the controller, which creates topics, in a response about the cluster: after the identity,
/// whose length is before it. The cluster names a broker that does not exist.
fn name_controller(frame: &mut [u8]) {
    let identity = b"mockCluster";
    if let Some(start) = frame.windows(identity.len()).position(|bytes| bytes == identity) {
        // the length is one more, because 0 stands for no text
        let end = start + usize::from(frame[start - 1]) - 1;
        frame[end..end + 4].copy_from_slice(&1_i32.to_be_bytes());
    }
}

/// Creates the topics of a request of version 4, and returns the response.
fn create_topics(number: i32, mut request: &[u8], cluster: &Cluster) -> Vec<u8> {
    let mut response = Vec::new();
    response.put_i32(number);
    // no throttling
    response.put_i32(0);
    // the name of the client
    text(&mut request);
    let topics = request.get_i32();
    response.put_i32(topics);
    for _ in 0..topics {
        let topic = text(&mut request);
        let (partitions, _replicas, _assignments) = (request.get_i32(), request.get_i16(), request.get_i32());
        for _ in 0..request.get_i32() {
            // the name and the value of a setting
            text(&mut request);
            text(&mut request);
        }
        let created = cluster.create_topic(&topic, partitions, 1);
        response.put_i16(i16::try_from(topic.len()).unwrap());
        response.put_slice(topic.as_bytes());
        response.put_i16(if created.is_ok() { 0 } else { TOPIC_ALREADY_EXISTS });
        // no text of an error
        response.put_i16(-1);
    }
    response
}

fn text(request: &mut &[u8]) -> String {
    let length = usize::try_from(request.get_i16()).unwrap();
    String::from_utf8(request.copy_to_bytes(length).to_vec()).unwrap()
}

/// The servers of a real cluster, if the tests use one. It must call its host 127.0.0.1.
#[expect(clippy::disallowed_methods, reason = "the location of test services is no setting of the store")]
pub fn servers() -> Option<String> {
    std::env::var("UNDERCROFT_TEST_KAFKA").ok()
}

fn config(url: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", url.strip_prefix("kafka://").unwrap());
    config.set_log_level(RDKafkaLogLevel::Emerg);
    config
}

/// Publishes a message to a topic.
pub async fn send(url: &str, topic: &str, key: &str, headers: &[(&str, &str)], body: &[u8]) {
    let producer: FutureProducer = config(url).create().unwrap();
    let mut all = OwnedHeaders::new();
    for (key, value) in headers {
        all = all.insert(Header { key, value: Some(*value) });
    }
    let record = FutureRecord::to(topic).key(key).headers(all).payload(body);
    producer.send(record, Timeout::Never).await.unwrap();
}

/// The first messages of the only partition of a topic.
pub async fn read_rejected(url: &str, topic: &str, number: usize) -> Vec<Rejected> {
    let consumer: StreamConsumer = config(url).set("group.id", "rejected").create().unwrap();
    let mut start = TopicPartitionList::new();
    start.add_partition_offset(topic, 0, rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&start).unwrap();
    let mut rejected = Vec::new();
    while rejected.len() < number {
        let message = consumer.recv().await.unwrap();
        let headers = message.headers().unwrap();
        let reason = headers.iter().find(|header| header.key == "undercroft-reason").unwrap();
        let reason = String::from_utf8(reason.value.unwrap().to_vec()).unwrap();
        rejected.push(Rejected { reason, body: message.payload().unwrap_or_default().to_vec() });
    }
    rejected
}

/// Deletes the topics of a test from a real cluster.
pub async fn delete(url: &str, topics: &[&str]) {
    let admin: AdminClient<DefaultClientContext> = config(url).create().unwrap();
    let options =
        AdminOptions::new().operation_timeout(Some(Timeout::After(std::time::Duration::from_secs(30))));
    // they may not have been created
    let _ = admin.delete_topics(topics, &options).await.unwrap();
}
