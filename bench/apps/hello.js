// The program that all sides run: an ordinary HTTP server. With NATIVE, it uses the listener that it inherits as file
// descriptor 3. With TELL, it sends its PID in a datagram to this port when it listens, so that polling is not needed.
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
