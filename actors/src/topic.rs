//! Typed publish and subscribe over groups: a topic is the group of its name, a message is JSON in a shout's first frame,
//! so any ZRE peer can take part.

mod latest;
mod subscription;

pub use latest::Latest;
pub use subscription::{Received, Subscription};

use crate::TopicError;
use crate::system::directory::is_provider_group;
use crate::system::{Command, Shared};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::sync::oneshot;
use zyre_rs::{Message, PeerId};

/// Messages kept for a subscriber that is slower than they come; the oldest are dropped for newer ones and counted.
pub const SUBSCRIPTION_QUEUE: usize = 1024;

/// Messages of one type under one name; made by [`ActorSystem::topic`](crate::ActorSystem::topic).
///
/// ```
/// use zyre_actors::ActorSystem;
/// use std::time::Duration;
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let network = zyre_rs::MemoryNetwork::new();
/// # let robot = ActorSystem::start(zyre_rs::Node::builder("robot").network(&network)).await?;
/// # let viewer = ActorSystem::start(zyre_rs::Node::builder("viewer").network(&network)).await?;
/// let mut poses = viewer.topic::<(f64, f64)>("pose")?.subscribe().await?;
///
/// let pose = robot.topic::<(f64, f64)>("pose")?;
/// pose.wait_for_subscriber(Duration::from_secs(5)).await?;
/// pose.publish(&(1.5, 2.0)).await?;
///
/// assert_eq!(poses.next().await.map(|pose| pose.value), Some((1.5, 2.0)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Topic<T> {
    shared: Arc<Shared>,
    group: Arc<str>,
    of: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Topic<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), group: self.group.clone(), of: PhantomData }
    }
}

impl<T> fmt::Debug for Topic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Topic").field(&self.group).finish()
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Topic<T> {
    pub(crate) fn new(shared: Arc<Shared>, name: &str) -> Result<Self, TopicError> {
        zyre_rs::GroupName::try_from(name)?;
        if is_provider_group(name) {
            return Err(TopicError::Reserved { topic: name.to_owned() });
        }
        Ok(Self { shared, group: name.into(), of: PhantomData })
    }

    /// Its name, which is the group's.
    pub fn name(&self) -> &str {
        &self.group
    }

    /// Sends a message to every subscriber, those of this system included, and says to how many. None is no error.
    ///
    /// At most once: a subscriber that comes later, or is cut off, misses it.
    ///
    /// # Errors
    /// When it cannot be encoded, or a subscriber's link is full for longer than the node's overflow policy allows (the
    /// others have got it).
    ///
    /// # Cancel safety
    /// Dropped while it waits for a slow subscriber, the others have got it.
    pub async fn publish(&self, value: &T) -> Result<usize, TopicError> {
        let encoded = serde_json::to_vec(value).map_err(|error| TopicError::NotEncoded(error.to_string()))?;
        let message = Message::from(encoded);
        let (reply, local) = oneshot::channel();
        let publish = Command::Publish { group: self.group.clone(), message: message.clone(), reply };
        self.shared.mailbox.send(publish).map_err(|_| TopicError::Stopped)?;
        let local = local.await.map_err(|_| TopicError::Stopped)?;
        Ok(local + self.shared.node.shout(&*self.group, message).await?)
    }

    /// How many nodes have subscribed, plus the subscriptions of this system.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn subscriber_count(&self) -> usize {
        let local = self.shared.topics.lock().await.get(&self.group).copied().unwrap_or(0);
        local + self.shared.node.peers_in(&*self.group).len()
    }

    /// Waits until another node subscribes.
    ///
    /// # Errors
    /// When none has in time.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait_for_subscriber(&self, timeout: Duration) -> Result<(), TopicError> {
        let there = self.shared.node.wait_until(|members| members.members(&self.group).next().is_some());
        match tokio::time::timeout(timeout, there).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(TopicError::Stopped),
            Err(_) => Err(TopicError::NoSubscriber { topic: self.group.to_string() }),
        }
    }

    /// Takes every message from now on, in order per publisher; [`SUBSCRIPTION_QUEUE`] of them may wait.
    ///
    /// # Errors
    /// When the group cannot be joined.
    ///
    /// # Cancel safety
    /// Dropped early, nothing is subscribed.
    pub async fn subscribe(&self) -> Result<Subscription<T>, TopicError> {
        self.subscribe_with(SUBSCRIPTION_QUEUE).await
    }

    /// [`subscribe`](Self::subscribe) with a queue of `capacity` messages, at least 1.
    ///
    /// # Errors
    /// When the group cannot be joined.
    ///
    /// # Cancel safety
    /// Dropped early, nothing is subscribed.
    pub async fn subscribe_with(&self, capacity: usize) -> Result<Subscription<T>, TopicError> {
        let queue = Arc::new(subscription::Queue::new(capacity.max(1)));
        let membership = self.join(Box::new(subscription::QueueSink(queue.clone()))).await?;
        Ok(Subscription::new(queue, membership))
    }

    /// Keeps the latest message only: for state of which yesterday's is worthless.
    ///
    /// # Errors
    /// When the group cannot be joined.
    ///
    /// # Cancel safety
    /// Dropped early, nothing is subscribed.
    pub async fn latest(&self) -> Result<Latest<T>, TopicError> {
        let (sender, receiver) = tokio::sync::watch::channel(None);
        let membership = self.join(Box::new(latest::LatestSink(sender))).await?;
        Ok(Latest::new(receiver, membership))
    }

    async fn join(&self, sink: Box<dyn Sink>) -> Result<Membership, TopicError> {
        let membership = {
            let mut topics = self.shared.topics.lock().await;
            if !topics.contains_key(&self.group) {
                self.shared.node.join(&*self.group).await?;
            }
            *topics.entry(self.group.clone()).or_default() += 1;
            Membership { shared: self.shared.clone(), group: self.group.clone() }
        };
        let (reply, subscribed) = oneshot::channel();
        let subscribe = Command::Subscribe { group: self.group.clone(), sink, reply };
        self.shared.mailbox.send(subscribe).map_err(|_| TopicError::Stopped)?;
        subscribed.await.map_err(|_| TopicError::Stopped)?;
        Ok(membership)
    }
}

/// Subscriptions per topic; the group is joined with the first and left with the last.
pub(crate) type Topics = Mutex<BTreeMap<Arc<str>, usize>>;

/// A message on its way to a subscriber.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) peer: PeerId,
    pub(crate) name: Arc<str>,
    pub(crate) frame: Bytes,
}

/// Where a subscription's messages go. Must not block. Dropped by the driver when the system ends.
pub(crate) trait Sink: Send + Sync + fmt::Debug {
    fn put(&self, incoming: Incoming);
    /// Whether somebody still reads it.
    fn is_read(&self) -> bool;
}

/// One subscription's share in the group.
#[derive(Debug)]
struct Membership {
    shared: Arc<Shared>,
    group: Arc<str>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        _ = self.shared.mailbox.send(Command::Unsubscribed(self.group.clone()));
        let (shared, group) = (self.shared.clone(), self.group.clone());
        // Not on the runtime of whoever drops it, if there is one.
        self.shared.runtime.spawn(async move {
            let mut topics = shared.topics.lock().await;
            let Some(count) = topics.get_mut(&group) else { return };
            *count -= 1;
            if *count == 0 {
                topics.remove(&group);
                if let Err(error) = shared.node.leave(&*group).await {
                    tracing::debug!(%group, %error, "topic not left");
                }
            }
        });
    }
}
