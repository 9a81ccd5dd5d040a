const http = require('http');
require('./answers.cjs')(http);
