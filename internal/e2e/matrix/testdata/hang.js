// /hang stops the whole process, as a debugger or a full terminal does, with the request in its hands.
const http = require('http');

http.createServer((req, res) => {
  if (req.url === '/hang') {
    console.log('hangs');
    process.kill(process.pid, 'SIGSTOP');
  }
  res.end(`hello from ${req.url} by ${process.pid}\n`);
}).listen(Number(process.env.PORT));
