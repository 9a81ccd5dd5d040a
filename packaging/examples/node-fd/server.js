// A worker in Node.js (12 or newer). It listens on the socket that systemd passes as file
// descriptor 3, or on PORT (default 8080) without systemd. No dependencies.
//
// No request is lost on SIGTERM: the worker stops accepting, adds "Connection: close" to
// the responses on open connections, and ends when the last connection has ended.
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
  if (draining) process.exit(1); // second signal: exit at once
  draining = true;
  // Since Node 19, close of http.Server also closes idle connections at once, and a request
  // that the client has just sent is lost. close of net.Server only stops accepting. An idle
  // connection then ends after keepAliveTimeout (5 s) or with its next response.
  net.Server.prototype.close.call(server);
  for (const res of waiting) {
    if (!res.headersSent) res.setHeader('Connection', 'close');
  }
  // Close connections that have never sent a request.
  setTimeout(() => {
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
  }, 5000).unref();
  // Exit before systemd sends SIGKILL, 90 s after SIGTERM by default. With unref, the timer
  // does not keep the process alive.
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
  refuse(`${process.env.LISTEN_FDS} sockets were passed, but this server supports only one`);
} else {
  for (const variable of Object.keys(process.env)) {
    if (variable.startsWith('LISTEN_')) delete process.env[variable]; // child processes must not use the socket
  }
  // Node calls listen(2) on the socket again. This call sets the queue length for all workers,
  // by default to 511. The queue length must be the second argument, because Node ignores the
  // option "backlog" together with "fd".
  server.listen({ fd: 3 }, 4096, listening);
}
