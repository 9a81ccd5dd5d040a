// A worker in Node.js, from version 12 on, that takes the socket which systemd passes as
// file descriptor 3, and without systemd listens on PORT, or 8080. No dependencies.
//
// On SIGTERM it loses no request: it stops accepting, answers what it has accepted with
// "Connection: close", and ends when the last connection has ended.
'use strict';
const http = require('http');
const net = require('net');

const name = process.env.INSTANCE ? `instance ${process.env.INSTANCE}, pid ${process.pid}` : `pid ${process.pid}`;
const sockets = new Set(); // every open connection
const waiting = new Set(); // responses that have not ended
let draining = false;

const server = http.createServer((req, res) => {
  res.setHeader('X-Worker', String(process.pid));
  if (draining) res.setHeader('Connection', 'close');
  waiting.add(res);
  res.on('close', () => waiting.delete(res));

  const slow = /^\/slow\?ms=(\d{1,5})$/.exec(req.url);
  if (slow) {
    setTimeout(() => res.end(`hello from ${name}, ${slow[1]} ms later\n`), Number(slow[1]));
  } else if (req.url === '/crash') {
    process.exit(1);
  } else {
    res.end(`hello from ${name}\n`);
  }
});

server.on('connection', (socket) => {
  sockets.add(socket);
  socket.on('close', () => sockets.delete(socket));
});

function drain() {
  if (draining) process.exit(1); // asked twice: leave at once
  draining = true;
  // http.Server's own close ends idle connections at once since Node 19, and a request may
  // be on its way on one of them. net.Server's close only stops accepting. An idle
  // connection ends after keepAliveTimeout, 5 s, or with its next answer.
  net.Server.prototype.close.call(server);
  for (const res of waiting) {
    if (!res.headersSent) res.setHeader('Connection', 'close');
  }
  // One that never says a word owes nothing.
  setTimeout(() => {
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
  }, 5000).unref();
  // Before the TimeoutStopSec=35 of clusterctl. Unref: it keeps nothing alive.
  setTimeout(() => process.exit(0), 30000).unref();
}
process.on('SIGTERM', drain);
process.on('SIGINT', drain);

const listening = () => {
  const address = server.address();
  console.error(`${name}: listening on ${typeof address === 'string' ? address : JSON.stringify(address)}`);
};

function refuse(reason) {
  console.error(reason);
  process.exitCode = 1;
}

if (!process.env.LISTEN_FDS) {
  server.listen(Number(process.env.PORT) || 8080, listening);
} else if (process.env.LISTEN_PID !== String(process.pid)) {
  refuse(`LISTEN_PID is ${process.env.LISTEN_PID} and this is process ${process.pid}: start node directly, not through npm or a shell`);
} else if (process.env.LISTEN_FDS !== '1') {
  refuse(`${process.env.LISTEN_FDS} sockets were passed, and this server takes one`);
} else {
  for (const variable of Object.keys(process.env)) {
    if (variable.startsWith('LISTEN_')) delete process.env[variable]; // they are not for children
  }
  // Node calls listen(2) on the socket again, which sets the queue for all workers, to 511
  // by itself. It has to be the second argument: with an fd, the option is not looked at.
  server.listen({ fd: 3 }, 4096, listening);
}
