import type { Case } from '../case.ts';
import { basics } from './basics.ts';

/** The whole suite. */
export const suite: readonly Case[] = [...basics];
