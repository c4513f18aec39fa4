import { Redis } from 'ioredis';
import { moleculer } from './moleculer.mjs';

export const contestant = {
  async open(url) {
    const client = new Redis(url);
    const session = await moleculer({
      transporter: url,
      channels: url,
      makeGroup: async (topic, group) => void (await client.xgroup('CREATE', topic, group, '$', 'MKSTREAM')),
    });
    const close = async () => {
      client.disconnect();
      await session.close();
    };
    return { ...session, close };
  },
};
