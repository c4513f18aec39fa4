import { ClientNats, ServerNats } from '@nestjs/microservices';
import { nestjs } from './nestjs.mjs';

export const contestant = {
  open(url) {
    const options = { servers: [url] };
    return nestjs(
      () => new ClientNats(options),
      () => new ServerNats(options),
    ).open();
  },
};
