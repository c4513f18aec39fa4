import { moleculer } from './moleculer.mjs';

export const contestant = { open: (url) => moleculer({ transporter: url }) };
