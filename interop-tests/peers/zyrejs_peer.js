// A zyre.js node driven by JSON lines: commands on stdin, events and replies on stdout (the same words as pyre_peer.py).
'use strict';

const readline = require('readline');
const Zyre = require('zyre.js');

const FLOOD_SLICE = 200;

const emit = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const upper = (id) => id.toUpperCase();
const lower = (id) => id.toLowerCase();

const options = JSON.parse(process.argv[2]);
const node = new Zyre({
  name: options.name,
  iface: options.iface,
  headers: options.headers,
  evasive: options.evasive,
  expired: options.expired,
  port: options.mailbox,
  bport: options.port,
});
node.setEncoding(null);

process.on('uncaughtException', (error) => {
  emit({ event: 'DIED', error: String(error.stack) });
  process.exitCode = 1;
  setImmediate(() => process.exit(1));
});

let counting = false;
let counters = {};
const awaited = {};

// What arrived of one sender's numbered messages, kept without a JSON line per message.
function count(peer, frame) {
  const counter = counters[peer] || { received: 0, next: 0, missing: 0, reordered: 0, first_gap: null };
  counters[peer] = counter;
  const number = Number(frame.readBigUInt64BE(0));
  counter.received += 1;
  if (number < counter.next) {
    counter.reordered += 1;
  } else {
    if (number > counter.next) {
      if (counter.first_gap === null) counter.first_gap = counter.next;
      counter.missing += number - counter.next;
    }
    counter.next = number + 1;
  }
  reportReached(peer);
}

function reportReached(peer) {
  const counter = counters[peer];
  if (counter && counter.next >= awaited[peer]) {
    delete awaited[peer];
    emit({ event: 'REACHED', peer, ...counter });
  }
}

function content(event, id, name, frame, group) {
  const peer = upper(id);
  if (counting) return count(peer, frame);
  // zyre.js hands over only the first content frame, and undefined where a message had none.
  const frames = frame === undefined ? [] : [frame.toString('hex')];
  return emit({ event, peer, name, group, frames });
}

node.on('connect', (id, name, headers) => {
  const { endpoint } = node.getPeer(id) || {};
  emit({ event: 'ENTER', peer: upper(id), name, headers, endpoint });
});
node.on('disconnect', (id, name) => emit({ event: 'EXIT', peer: upper(id), name }));
node.on('expired', (id, name) => emit({ event: 'EXPIRED', peer: upper(id), name }));
node.on('join', (id, name, group) => emit({ event: 'JOIN', peer: upper(id), name, group }));
node.on('leave', (id, name, group) => emit({ event: 'LEAVE', peer: upper(id), name, group }));
node.on('whisper', (id, name, frame) => content('WHISPER', id, name, frame));
node.on('shout', (id, name, frame, group) => content('SHOUT', id, name, frame, group));

function single(frames) {
  if (frames.length !== 1) throw new Error('zyre.js sends exactly one content frame');
  return Buffer.from(frames[0], 'hex');
}

function flood(command) {
  const start = command.start || 0;
  let sent = 0;
  const slice = () => {
    for (let i = 0; i < FLOOD_SLICE && sent < command.count; i += 1, sent += 1) {
      const frame = Buffer.alloc(command.size || 8);
      frame.writeBigUInt64BE(BigInt(start + sent));
      if (command.peer) node.whisper(lower(command.peer), frame);
      else node.shout(command.group, frame);
    }
    if (sent < command.count) setImmediate(slice);
    else emit({ event: 'FLOODED', id: command.id, sent: start + sent });
  };
  slice();
}

const commands = {
  join: ({ group }) => node.join(group),
  leave: ({ group }) => node.leave(group),
  whisper: ({ peer, frames }) => node.whisper(lower(peer), single(frames)),
  shout: ({ group, frames }) => node.shout(group, single(frames)),
  flood,
  count: ({ on }) => { counting = on; counters = {}; },
  counts: () => counters,
  await: ({ peer, next }) => { awaited[peer] = next; reportReached(peer); },
  // Acts as if a message to (out) or from (in) a peer had got lost.
  skip: ({ peer, way }) => {
    const known = node._zyrePeers.getPeer(lower(peer));
    if (way === 'out') known._sequenceOut += 1;
    else known._sequenceIn -= 1;
  },
  peers: () => Object.keys(node.getPeers()).map(upper),
  peers_in: ({ group }) => Object.keys(node.getGroup(group) || {}).map(upper),
  address: ({ peer }) => (node.getPeer(lower(peer)) || {}).endpoint || '',
  stop: () => node.stop(),
  quit: () => process.exit(0),
};

async function run(command) {
  const reply = { event: 'REPLY', id: command.id };
  try {
    reply.value = await commands[command.cmd](command);
  } catch (error) {
    reply.error = String(error);
  }
  emit(reply);
}

node.start().then(() => {
  (options.groups || []).forEach((group) => node.join(group));
  emit({
    event: 'READY',
    peer: upper(node.getIdentity()),
    name: options.name || node.getIdentity().slice(0, 12),
    endpoint: node._zyreNode._endpoint,
  });
  readline.createInterface({ input: process.stdin })
    .on('line', (line) => run(JSON.parse(line)))
    .on('close', () => process.exit(0));
});
