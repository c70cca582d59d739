// Run on a stack by languages_test.py: a server of several kinds, and a client that says "equal" if all were as they should be.
//
//   node node_sockets.js serve ADDRESS FILE      HTTP by two workers that get their connections from a third process, HTTP by two workers
//   node node_sockets.js ask ADDRESS SHA256      on one listener, an echo of a stream and one of datagrams
'use strict';
const child_process = require('child_process'), cluster = require('cluster'), crypto = require('crypto'), dgram = require('dgram'), fs = require('fs');
const http = require('http'), net = require('net');

const [what, address, given] = process.argv.slice(2);
const PORTS = { passed: 8001, shared: 8002, stream: 7000, datagrams: 7001 };
const WORKERS = 2, REQUESTS = 60;

// A primary process and its workers; how they share the port the environment says (NODE_CLUSTER_SCHED_POLICY).
function serveHttp(port) {
  if (cluster.isPrimary) {
    let left = WORKERS;
    for (let i = 0; i < WORKERS; ++i) cluster.fork().on('message', () => { if (--left === 0) process.send('listening'); });
    return;
  }
  http.createServer((request, response) => {
    response.setHeader('worker', process.pid);
    fs.createReadStream(given).pipe(response);
  }).listen(port, address, () => process.send('listening'));
}

function serve() {
  let left = 4;
  const ready = () => { if (--left === 0) console.log('ready'); };
  for (const [policy, port] of [['rr', PORTS.passed], ['none', PORTS.shared]]) {
    const env = { ...process.env, NODE_CLUSTER_SCHED_POLICY: policy };
    child_process.fork(__filename, [port, address, given], { env }).on('message', ready);
  }
  net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(PORTS.stream, address, ready);
  const datagrams = dgram.createSocket('udp4', (message, from) => datagrams.send(message, from.port, from.address));
  datagrams.bind(PORTS.datagrams, address, ready);
}

const sha256 = (data) => crypto.createHash('sha256').update(data).digest('hex');

async function all(readable) {
  const pieces = [];
  for await (const piece of readable) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function askHttp(port, agent) {
  const workers = new Set();
  const one = () => new Promise((done, failed) => http.get({ host: address, port, agent }, async (response) => {
    workers.add(response.headers.worker);
    done(sha256(await all(response)));
  }).on('error', failed));
  for (const digest of await Promise.all(Array.from({ length: REQUESTS }, one))) if (digest !== given) throw new Error(`${port}: another file`);
  agent.destroy();
  return workers.size;
}

async function askStream() {
  const data = crypto.randomBytes(3000000), socket = net.connect({ host: address, port: PORTS.stream, allowHalfOpen: true });
  socket.end(data);
  if (sha256(await all(socket)) !== sha256(data)) throw new Error('the stream came back different');
}

// A datagram may be lost, so it is sent again while no answer comes; then an answer may come twice.
function askDatagrams() {
  return new Promise((done, failed) => {
    let back = 0, again = 0;
    const ask = () => socket.send(`number ${back}`, PORTS.datagrams, address);
    const timer = setInterval(() => ++again < 20 ? ask() : failed(new Error(`no answer to number ${back}`)), 1000);
    const socket = dgram.createSocket('udp4', (message) => {
      const number = Array.from({ length: back + 1 }, (_, one) => `number ${one}`).indexOf(message.toString());
      if (number < 0) failed(new Error(`not ${back}: ${message}`));
      if (number !== back) return;
      if (++back < 50) return ask();
      clearInterval(timer);
      socket.close();
      done();
    });
    ask();
  });
}

function refused() {
  return new Promise((done, failed) => net.connect(1, address).on('error', (error) => error.code === 'ECONNREFUSED' ? done() : failed(error)));
}

async function ask() {
  const workers = await askHttp(PORTS.passed, new http.Agent({ keepAlive: true, maxSockets: 10 }));
  await askHttp(PORTS.shared, new http.Agent({ keepAlive: false, maxSockets: 10 }));
  await Promise.all([askStream(), askStream(), askDatagrams(), refused()]);
  console.log(`${workers} workers\nequal`);
}

if (what === 'serve') serve();
else if (what !== 'ask') serveHttp(Number(what));
else ask().catch((error) => { console.log(error); process.exit(1); });
