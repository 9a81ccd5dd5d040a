// An ordinary server with Node's http. With ?ms=N an answer takes N milliseconds.
const http = require('http');

http.createServer((req, res) => {
  const url = new URL(req.url, 'http://localhost');
  setTimeout(() => {
    res.end(`hello from ${url.pathname} by ${process.pid}\n`);
  }, Number(url.searchParams.get('ms')));
}).listen(Number(process.env.PORT));
