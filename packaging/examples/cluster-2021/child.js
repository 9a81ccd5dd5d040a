// The worker of a cluster example that many people copied in 2021. The worker opens its own
// port, blocks its event loop during each request, and exits at a random moment within 20
// seconds.
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
