// This is a common server with Node's module http. With ?ms=N, a response takes N milliseconds.
const http = require('http');

http.createServer((req, res) => {
  const url = new URL(req.url, 'http://localhost');
  setTimeout(() => {
    res.end(`hello from ${url.pathname} by ${process.pid}\n`);
  }, Number(url.searchParams.get('ms')));
}).listen(Number(process.env.PORT));
