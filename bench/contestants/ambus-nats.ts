import type { Contestant } from '../network/contestant.ts';
import { ambus } from './ambus.ts';

export const contestant: Contestant = ambus('nats');
