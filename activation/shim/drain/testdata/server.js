// An ordinary Node server without a handler for SIGTERM, with the default keep-alive.
// With MODE=exit it has the handler that many programs have.
const http = require('http');
if (process.env.MODE === 'exit') process.on('SIGTERM', () => process.exit(0));
http.createServer((req, res) => {
  if (req.url === '/slow') return void setTimeout(() => res.end('hello\n'), 2000);
  res.end('hello\n');
}).listen({ fd: 3 });
