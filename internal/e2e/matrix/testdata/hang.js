// A request to /hang stops the whole process while it serves that request, like a debugger or a full terminal does.
const http = require('http');

http.createServer((req, res) => {
  if (req.url === '/hang') {
    console.log('hangs');
    process.kill(process.pid, 'SIGSTOP');
  }
  res.end(`hello from ${req.url} by ${process.pid}\n`);
}).listen(Number(process.env.PORT));
