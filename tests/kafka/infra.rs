//! The broker of the tests itself: that it keeps its data over a crash and a stop, at its address.

use crate::support::Broker;

#[test]
fn a_broker_keeps_its_topics_over_a_kill_and_a_stop() {
    let mut broker = Broker::start_with("num.partitions=3");
    let bootstrap = broker.bootstrap();
    broker.tool("topics", &["--create", "--topic", "orders"]);
    broker.kill();
    broker.restart();
    assert_eq!(broker.bootstrap(), bootstrap);
    let topics = broker.tool("topics", &["--describe", "--topic", "orders"]);
    assert!(topics.contains("PartitionCount: 3"), "{topics}");
    broker.stop();
    broker.restart();
    assert_eq!(broker.tool("topics", &["--list"]).trim(), "orders");
}

#[test]
fn brokers_run_side_by_side_and_the_shared_one_is_one() {
    let one = Broker::shared();
    let same = Broker::shared();
    assert_eq!(one.bootstrap(), same.bootstrap());
    let other = Broker::start();
    assert_ne!(one.bootstrap(), other.bootstrap());
    other.tool("topics", &["--create", "--topic", "t"]);
    assert!(one.tool("topics", &["--list"]).lines().all(|topic| topic != "t"));
}
