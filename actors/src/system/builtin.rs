//! The methods every node answers: `rpc.ping`, `rpc.info`, `rpc.stats`, `rpc.methods` (`docs/rpc.md`).

use super::driver::Driver;
use crate::{RpcError, VERSION, code};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What `rpc.info` tells, as far as this layer itself reads it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Info {
    #[serde(default)]
    pub(super) groups: BTreeMap<String, Capacity>,
}

/// How much the services behind a group take.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Capacity {
    /// Requests worked on at once.
    pub(super) concurrency: u32,
    /// Requests that wait beyond that.
    #[serde(default)]
    pub(super) queue: u32,
}

impl Driver {
    /// `name` comes without `rpc.`.
    pub(super) fn builtin(&self, name: &str) -> Result<Value, RpcError> {
        match name {
            "ping" => Ok(json!({"name": self.node.name(), "id": self.node.id().to_string()})),
            "info" => Ok(json!({
                "name": self.node.name(),
                "id": self.node.id().to_string(),
                "version": VERSION,
                "groups": self.capacities(),
            })),
            "stats" => Ok(self.stats_json()),
            "methods" => Ok(self.methods_json()),
            _ => Err(RpcError::new(
                code::METHOD_NOT_FOUND,
                "there are rpc.ping, rpc.info, rpc.stats and rpc.methods",
            )),
        }
    }

    fn capacities(&self) -> BTreeMap<String, Capacity> {
        let mut capacities: BTreeMap<String, Capacity> = BTreeMap::new();
        for service in self.serving.services.values() {
            let limits = service.registration.limits;
            let number = |n| u32::try_from(n).unwrap_or(u32::MAX);
            for group in &service.registration.groups {
                let known =
                    capacities.entry(group.to_string()).or_insert(Capacity { concurrency: 0, queue: 0 });
                known.concurrency = known.concurrency.max(number(limits.concurrency));
                known.queue = known.queue.max(number(limits.queue));
            }
        }
        capacities
    }

    fn methods_json(&self) -> Value {
        let entries = self.serving.services.values().flat_map(|service| &service.registration.methods);
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let described = entries.iter().map(|method| {
            json!({
                "name": &*method.name,
                "idempotent": method.idempotent,
                "params": method.schema.params,
                "result": method.schema.result,
            })
        });
        Value::Array(described.collect())
    }

    fn stats_json(&self) -> Value {
        let stats = self.stats();
        let services = stats.services.iter().map(|(name, load)| (name.clone(), json!(load)));
        json!({
            "name": self.node.name(),
            "calls_open": stats.calls_open,
            "counters": stats.counters,
            "services": services.collect::<serde_json::Map<_, _>>(),
        })
    }
}
