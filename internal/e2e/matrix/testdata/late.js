// This server listens two seconds after its start, like a program that first reads its data.
const http = require('http');

setTimeout(() => {
  http.createServer((req, res) => res.end(`hello from ${req.url} by ${process.pid}\n`)).listen(Number(process.env.PORT));
}, 2000);
