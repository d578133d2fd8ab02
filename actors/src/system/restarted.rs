//! News of actors that were started anew: the notification `rpc.restarted {"groups"}`, for those who watch a service.
//!
//! Nothing is remembered of who calls: every peer that speaks this layer's RPC is told, which is rare, since restarts
//! are limited. It is told once and not again: a peer whose link is full misses it.

use super::driver::Driver;
use crate::server::ServiceId;
use crate::wire::{self, Meta};
use crate::{Body, Codec, Up};
use serde::{Deserialize, Serialize};
use zyre_rs::PeerId;

/// What the notification tells.
#[derive(Debug, Serialize, Deserialize)]
struct Restarted {
    /// Those the actor's service stands for here.
    groups: Vec<String>,
}

impl Driver {
    /// Tells this node's watchers and those of others that the actor of a service runs anew.
    pub(super) fn tell_restarted(&mut self, service: ServiceId) {
        let Some(known) = self.serving.services.get(&service) else { return };
        let groups = known.registration.groups.clone();
        let own = self.node.id();
        for group in &groups {
            self.tell_watchers(group, &Up::Restarted { peer: own });
        }
        let groups = groups.iter().map(ToString::to_string).collect();
        let Ok(body) = Body::encode(Codec::Json, &Restarted { groups }) else { return };
        let message = wire::encode_notification("rpc.restarted", &body, &Meta::default());
        let others = self.directory.peers.iter().filter(|(peer, info)| **peer != own && info.rpc);
        let untold =
            others.filter(|(peer, _)| self.node.try_whisper(**peer, message.clone()).is_err()).count();
        self.count("restarts_untold", u64::try_from(untold).unwrap_or(u64::MAX));
    }

    /// A peer says that an actor of its runs anew. Of groups that it is not in nothing is believed.
    pub(super) fn on_restarted(&mut self, peer: PeerId, news: &Body) {
        let Ok(Restarted { groups }) = news.decode() else { return self.count("restarts_unreadable", 1) };
        for group in groups {
            if self.directory.members(&group).any(|member| member == peer) {
                self.tell_watchers(&group, &Up::Restarted { peer });
            } else {
                self.count("restarts_unknown", 1);
            }
        }
    }
}
