// The program that every side runs: an ordinary HTTP server. With NATIVE it takes the listener that it inherits as file
// descriptor 3. With TELL it sends its pid in a datagram to that port once it listens, so that nobody has to poll for it.
'use strict';
const http = require('http');

const where = process.env.NATIVE ? { fd: 3 } : { port: Number(process.env.PORT) };

http.createServer((req, res) => {
  res.setHeader('X-Worker', String(process.pid));
  res.end('hello\n');
}).listen(where, () => {
  if (!process.env.TELL) return;
  const socket = require('dgram').createSocket('udp4');
  socket.send(String(process.pid), Number(process.env.TELL), '127.0.0.1', () => socket.close());
});
