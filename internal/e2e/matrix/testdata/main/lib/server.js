const http = require('http');

http.createServer((req, res) => res.end(`hello from ${req.url} by ${process.pid}\n`)).listen(Number(process.env.PORT));
