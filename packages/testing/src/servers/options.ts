import { check } from '@ambus/core';
import type { CommonServerOptions } from './types.ts';

const way = check.oneOf('url', 'docker', 'native');

export const commonChecks: check.Spec<CommonServerOptions> = {
  via: check.either(way, check.arrayOf(way)),
  quiet: check.boolean,
  args: check.arrayOf(check.text()),
};
