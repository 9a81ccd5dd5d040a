// It reads its data for two seconds, then listens.
const http = require('http');

setTimeout(() => {
  http.createServer((req, res) => res.end(`hello from ${req.url} by ${process.pid}\n`)).listen(Number(process.env.PORT));
}, 2000);
