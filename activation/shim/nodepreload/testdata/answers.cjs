// All ways in which a program can answer.
const { Worker } = require('worker_threads');

const ways = {
  '/implicit': (res) => res.end('x'),
  '/chunks': (res) => { res.write('a'); setTimeout(() => res.end('b'), 20); },
  '/set': (res) => { res.setHeader('Connection', 'keep-alive'); res.end('x'); },
  '/removed': (res) => { res.removeHeader('Connection'); res.end('x'); },
  '/object': (res) => { res.writeHead(200, { connection: 'keep-alive', 'X-Way': 'kept' }); res.end('x'); },
  '/both': (res) => { res.setHeader('X-Way', 'kept'); res.writeHead(200, 'Fine', { CONNECTION: 'keep-alive' }); res.end('x'); },
  '/flat': (res) => { res.writeHead(200, ['X-Way', 'kept', 'Connection', 'keep-alive', 'Content-Length', '1']); res.end('x'); },
  '/plain-flat': (res) => { res.writeHead(200, ['X-Way', 'kept', 'Content-Length', '1']); res.end('x'); },
  '/reason': (res) => { res.writeHead(404, 'Gone Fishing'); res.end('x'); },
  '/empty': (res) => { res.writeHead(304); res.end(); },
};

module.exports = (http) => {
  // Packages such as signal-exit check for other listeners.
  if (process.listenerCount('SIGTERM') !== 0) throw new Error('a listener for SIGTERM');
  const worker = new Worker('require("http").createServer(); setInterval(() => {}, 1000)', { eval: true });
  const server = http.createServer((req, res) => ways[req.url](res));
  // A connection of the test is idle while the test uses all the others.
  server.keepAliveTimeout = 60000;
  // A thread that is online has run its preloads and closed their files.
  worker.once('online', () =>
    server.listen(0, '127.0.0.1', () => console.log(server.address().port, Object.keys(ways).join(' '))));
};
