const express = require('express');

const app = express();
app.get('/*path', (req, res) => {
  setTimeout(() => res.send(`hello from ${req.path} by ${process.pid}\n`), Number(req.query.ms || 0));
});
app.listen(process.env.PORT);
