// An ordinary server of Node's http. ?ms=N makes an answer take N milliseconds.
const http = require('http');

http.createServer((req, res) => {
  const url = new URL(req.url, 'http://localhost');
  setTimeout(() => {
    res.end(`hello from ${url.pathname} by ${process.pid}\n`);
  }, Number(url.searchParams.get('ms')));
}).listen(Number(process.env.PORT));
