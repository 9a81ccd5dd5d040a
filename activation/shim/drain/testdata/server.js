// An ordinary Node server: no thought for SIGTERM, the default keep-alive.
// MODE=exit: with the handler that many people copy.
const http = require('http');
if (process.env.MODE === 'exit') process.on('SIGTERM', () => process.exit(0));
http.createServer((req, res) => {
  if (req.url === '/slow') return void setTimeout(() => res.end('hello\n'), 2000);
  res.end('hello\n');
}).listen({ fd: 3 });
