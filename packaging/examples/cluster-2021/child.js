// The worker of the cluster example that was copied about in 2021: it listens by itself,
// blocks its event loop for every request, and dies at some moment within 20 seconds.
const http = require('http');

http.createServer((req, res) => {
  if (req.url === '/') {
    let sum = 0;
    for (let i = 0; i < 100000000; i++) {
      sum += i;
    }
    res.end(`${process.pid}: ${sum}\n`);
    return;
  }
  res.statusCode = 404;
  res.end();
}).listen(8080, () => console.log(`child ${process.pid} listens`));

setTimeout(() => process.exit(1), Math.random() * 20000);
