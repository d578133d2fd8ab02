//! Typed publish and subscribe over groups, with plain nodes among those who take part.

use crate::common::{Lan, PATIENCE, eventually, met, within};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use zyre_actors::{ActorSystem, Topic, TopicError};
use zyre_rs::{Event, GroupName};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pose {
    x: f64,
    y: f64,
}

const HERE: Pose = Pose { x: 1.0, y: 2.0 };
const THERE: Pose = Pose { x: 3.0, y: 4.0 };

fn poses(system: &ActorSystem) -> Topic<Pose> {
    system.topic("pose").expect("a name")
}

fn groups(system: &ActorSystem) -> Vec<GroupName> {
    system.node().own_groups()
}

#[tokio::test]
async fn what_is_published_reaches_subscribers_here_and_elsewhere_in_order() {
    let lan = Lan::new();
    let (robot, viewer) = (lan.system("robot").await, lan.system("viewer").await);
    let mut far = poses(&viewer).subscribe().await.expect("subscribed");
    let mut near = poses(&robot).subscribe().await.expect("subscribed");
    let topic = poses(&robot);
    topic.wait_for_subscriber(PATIENCE).await.expect("the viewer");
    for n in 0..100 {
        assert_eq!(topic.publish(&Pose { x: f64::from(n), y: 0.0 }).await, Ok(2), "to both");
    }
    for subscription in [&mut far, &mut near] {
        for n in 0..100 {
            // As a stream, too.
            let pose = within(subscription.next()).await.expect("a pose");
            assert_eq!((pose.value.x, pose.peer, &*pose.name), (f64::from(n), robot.node().id(), "robot"));
        }
        assert_eq!((subscription.dropped(), subscription.undecodable()), (0, 0));
    }
    topic.publish(&HERE).await.expect("published");
    assert_eq!(within(StreamExt::next(&mut far)).await.map(|pose| pose.value), Some(HERE));
}

#[tokio::test]
async fn a_plain_node_publishes_and_subscribes_with_json_in_a_shout() {
    let lan = Lan::new();
    let system = lan.system("system").await;
    let mut subscription = poses(&system).subscribe().await.expect("subscribed");
    let (plain, mut events) = lan.plain("plain").await;
    plain.join("pose").await.expect("joined");
    within(plain.wait_until(|members| members.members("pose").next().is_some())).await;
    plain.shout("pose", r#"{"x":1,"y":2.0,"frame":"map"}"#).await.expect("queued");
    let pose = within(subscription.next()).await.expect("a pose");
    assert_eq!((pose.value, &*pose.name), (HERE, "plain"));

    let topic = poses(&system);
    topic.wait_for_subscriber(PATIENCE).await.expect("the plain node");
    assert_eq!(topic.publish(&THERE).await, Ok(2));
    let heard = within(async {
        loop {
            if let Event::Shout { group, message, .. } = events.next().await.expect("it runs") {
                return (group, serde_json::from_slice::<Value>(&message[0]).expect("JSON"));
            }
        }
    })
    .await;
    assert_eq!((heard.0.to_str_lossy().as_ref(), heard.1), ("pose", json!({"x": 3.0, "y": 4.0})));
}

#[tokio::test]
async fn latest_gives_the_newest_message_and_forgets_those_before() {
    let lan = Lan::new();
    let (robot, viewer) = (lan.system("robot").await, lan.system("viewer").await);
    let mut latest = poses(&viewer).latest().await.expect("subscribed");
    assert_eq!(latest.get().map(|pose| pose.value), None);
    let topic = poses(&robot);
    topic.wait_for_subscriber(PATIENCE).await.expect("the viewer");
    // Beside it to see when all have arrived.
    let mut all = poses(&viewer).subscribe().await.expect("subscribed");
    for n in 0..50 {
        topic.publish(&Pose { x: f64::from(n), y: 0.0 }).await.expect("published");
    }
    while within(all.next()).await.is_some_and(|pose| pose.value.x < 49.0) {}
    assert_eq!(within(latest.changed()).await.map(|pose| pose.value.x), Some(49.0));
    assert_eq!(latest.get().map(|pose| pose.value.x), Some(49.0), "it stays");
    let changed = tokio::time::timeout(Duration::from_millis(20), latest.changed()).await;
    assert!(changed.is_err(), "nothing new");
    topic.publish(&HERE).await.expect("published");
    assert_eq!(within(latest.changed()).await.map(|pose| pose.value), Some(HERE));
    within(viewer.stop()).await;
    assert!(within(latest.changed()).await.is_none(), "the system has ended");
}

#[tokio::test]
async fn a_slow_subscriber_keeps_the_newest_messages_and_counts_those_it_lost() {
    let lan = Lan::new();
    let system = lan.system("system").await;
    let topic = poses(&system);
    let mut slow = topic.subscribe_with(10).await.expect("subscribed");
    let mut quick = topic.subscribe_with(1000).await.expect("subscribed");
    for n in 0..100 {
        assert_eq!(topic.publish(&Pose { x: f64::from(n), y: 0.0 }).await, Ok(2));
    }
    assert_eq!((slow.dropped(), quick.dropped()), (90, 0));
    for n in 90..100 {
        assert_eq!(within(slow.next()).await.map(|pose| pose.value.x), Some(f64::from(n)));
    }
    assert_eq!(within(quick.next()).await.map(|pose| pose.value.x), Some(0.0), "the other has all of them");
}

#[tokio::test]
async fn what_is_no_message_of_the_topic_is_skipped_and_counted() {
    let lan = Lan::new();
    let system = lan.system("system").await;
    let mut subscription = poses(&system).subscribe().await.expect("subscribed");
    let latest = poses(&system).latest().await.expect("subscribed");
    let (plain, _events) = lan.plain("plain").await;
    within(plain.wait_until(|members| members.members("pose").next().is_some())).await;
    let wrong: [&[u8]; 6] =
        [b"{\"x\":\"east\",\"y\":0}", b"[]", b"{\"x\":1", b"\xff\xfe", b"", &[b'['; 100_000]];
    for message in wrong {
        plain.shout("pose", message.to_vec()).await.expect("queued");
    }
    plain.shout("pose", r#"{"x":1.0,"y":2.0}"#).await.expect("queued");
    assert_eq!(within(subscription.next()).await.map(|pose| pose.value), Some(HERE));
    assert_eq!((subscription.undecodable(), subscription.dropped()), (6, 0));
    assert_eq!(latest.get().map(|pose| pose.value), Some(HERE));
    plain.shout("pose", "nonsense").await.expect("queued");
    eventually(async || latest.get().is_none()).await;
}

#[tokio::test]
async fn a_publisher_knows_how_many_subscribe_and_waits_for_the_first() {
    let lan = Lan::new();
    let robot = lan.system("robot").await;
    let topic = poses(&robot);
    let nobody = topic.wait_for_subscriber(Duration::from_millis(20)).await;
    assert_eq!(nobody, Err(TopicError::NoSubscriber { topic: "pose".to_owned() }));
    assert_eq!((topic.subscriber_count().await, topic.publish(&HERE).await), (0, Ok(0)), "which is no error");
    let waits = tokio::spawn({
        let topic = topic.clone();
        async move { topic.wait_for_subscriber(PATIENCE).await }
    });
    let viewer = lan.system("viewer").await;
    let first = poses(&viewer).subscribe().await.expect("subscribed");
    assert_eq!(within(waits).await.expect("no panic"), Ok(()));
    assert_eq!(topic.subscriber_count().await, 1);
    // Two of one node are one to the others, and two to itself.
    let _second = poses(&viewer).subscribe().await.expect("subscribed");
    assert_eq!((topic.subscriber_count().await, poses(&viewer).subscriber_count().await), (1, 2));
    let _own = topic.latest().await.expect("subscribed");
    assert_eq!(topic.subscriber_count().await, 2);
    drop(first);
    eventually(async || poses(&viewer).subscriber_count().await == 2).await;
}

#[tokio::test]
async fn the_group_is_joined_with_the_first_subscription_and_left_with_the_last() {
    let lan = Lan::new();
    let (robot, viewer) = (lan.system("robot").await, lan.system("viewer").await);
    met(robot.node(), viewer.node().id()).await;
    let topic = poses(&viewer);
    assert!(groups(&viewer).is_empty(), "a topic alone is no subscription");
    let mut first = topic.subscribe().await.expect("subscribed");
    let second = topic.subscribe().await.expect("subscribed");
    let third = topic.latest().await.expect("subscribed");
    assert_eq!(groups(&viewer).len(), 1);
    drop(second);
    drop(third);
    // The one that is left goes on.
    poses(&robot).wait_for_subscriber(PATIENCE).await.expect("the viewer");
    eventually(async || topic.subscriber_count().await == 1).await;
    assert_eq!(poses(&robot).publish(&HERE).await, Ok(1));
    assert_eq!(within(first.next()).await.map(|pose| pose.value), Some(HERE));
    drop(first);
    eventually(async || groups(&viewer).is_empty()).await;
    eventually(async || poses(&robot).subscriber_count().await == 0).await;
    let mut again = topic.subscribe().await.expect("subscribed");
    poses(&robot).wait_for_subscriber(PATIENCE).await.expect("the viewer");
    poses(&robot).publish(&THERE).await.expect("published");
    assert_eq!(within(again.next()).await.map(|pose| pose.value), Some(THERE));
}

#[tokio::test]
async fn a_subscription_ends_wherever_it_is_dropped() {
    let lan = Lan::new();
    let viewer = lan.system("viewer").await;
    let subscription = poses(&viewer).subscribe().await.expect("subscribed");
    let latest = poses(&viewer).latest().await.expect("subscribed");
    assert_eq!(groups(&viewer).len(), 1);
    // A thread that knows of no runtime.
    std::thread::spawn(move || drop((subscription, latest))).join().expect("no panic");
    eventually(async || groups(&viewer).is_empty()).await;
}

#[tokio::test]
async fn shouts_of_a_topic_reach_the_application_as_well() {
    let lan = Lan::new();
    let (robot, viewer) = (lan.system("robot").await, lan.system("viewer").await);
    let mut events = viewer.events();
    let _subscription = poses(&viewer).subscribe().await.expect("subscribed");
    poses(&robot).wait_for_subscriber(PATIENCE).await.expect("the viewer");
    poses(&robot).publish(&HERE).await.expect("published");
    let shout = within(async {
        loop {
            if let Some(Event::Shout { message, .. }) = events.recv().await {
                return message;
            }
        }
    })
    .await;
    assert_eq!(shout.text(), Some(r#"{"x":1.0,"y":2.0}"#));
}

#[tokio::test]
async fn a_topic_cannot_have_the_name_of_a_services_or_pools_group() {
    let lan = Lan::new();
    let system = lan.system("alone").await;
    for name in ["svc/calc", "pool/calc"] {
        let refused = system.topic::<Pose>(name).err();
        assert_eq!(refused, Some(TopicError::Reserved { topic: name.to_owned() }));
    }
}
