// This server sends SIGSTOP to itself while it serves a request to /hang.
const http = require('http');

http.createServer((req, res) => {
  if (req.url === '/hang') {
    console.log('hangs');
    process.kill(process.pid, 'SIGSTOP');
  }
  res.end(`hello from ${req.url} by ${process.pid}\n`);
}).listen(Number(process.env.PORT));
