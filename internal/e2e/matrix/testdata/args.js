// Answers with the command line that it was started with.
const http = require('http');

http.createServer((req, res) => res.end([...process.execArgv, ...process.argv.slice(1)].join(' '))).listen(Number(process.env.PORT));
