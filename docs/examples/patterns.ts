import { matches } from '@ambus/core';

const topics = ['tasks', 'tasks.42', 'tasks.42.created', 'tasks.eu.42.created', 'jobs.42.created'];
for (const pattern of [
  'tasks.42',
  'tasks.*',
  'tasks.*.created',
  'tasks.#',
  '#.created',
  'tasks.#.created',
  '#',
]) {
  console.log(pattern.padEnd(16), topics.filter((topic) => matches(pattern, topic)).join(', '));
}
