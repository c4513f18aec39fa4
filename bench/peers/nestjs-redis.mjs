import { ClientRedis, ServerRedis } from '@nestjs/microservices';
import { nestjs } from './nestjs.mjs';

export const contestant = {
  open(url) {
    const { hostname: host, port } = new URL(url);
    const options = { host, port: Number(port) };
    return nestjs(
      () => new ClientRedis(options),
      () => new ServerRedis(options),
    ).open();
  },
};
