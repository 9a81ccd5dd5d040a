import http from 'node:http';
import answers from './answers.cjs';
answers(http);
