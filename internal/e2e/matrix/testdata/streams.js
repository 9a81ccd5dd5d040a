// This server sends slow responses: /parts has a pause of 8 s in its body, and /events sends an event each second,
// forever.
const http = require('http');

http.createServer((req, res) => {
  switch (req.url) {
    case '/parts':
      res.write('first ');
      setTimeout(() => res.end('second\n'), 8000);
      return;
    case '/events': {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      const timer = setInterval(() => res.write('data: x\n\n'), 1000);
      res.on('close', () => clearInterval(timer));
      return;
    }
  }
  res.end(`hello from ${req.url} by ${process.pid}\n`);
}).listen(Number(process.env.PORT));
