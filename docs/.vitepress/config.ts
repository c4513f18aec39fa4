import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DefaultTheme, defineConfig, type UserConfig } from 'vitepress';

const docs = join(import.meta.dirname, '..');

const guide = (names: readonly (readonly [text: string, name: string])[]): DefaultTheme.SidebarItem[] =>
  names.map(([text, name]) => ({ text, link: `/guide/${name}` }));

/** One entry a file, so that a new decision is in the sidebar as soon as it is written. */
function decisions(): DefaultTheme.SidebarItem[] {
  const files = readdirSync(join(docs, 'decisions')).filter((name) => name.endsWith('.md'));
  return files.sort().map((name) => {
    const title = /^# (.+)$/m.exec(readFileSync(join(docs, 'decisions', name), 'utf8'))?.[1] ?? name;
    return { text: title, link: `/decisions/${name.replace(/\.md$/, '')}` };
  });
}

/** Made by `pnpm run conformance`. */
const hasConformance = existsSync(join(docs, 'conformance.md'));

const config: UserConfig<DefaultTheme.Config> = defineConfig({
  title: 'Ambus',
  description: 'One small message bus API for agents and services, over any broker.',
  lastUpdated: true,
  ignoreDeadLinks: hasConformance ? false : [/\/conformance$/],
  themeConfig: {
    search: { provider: 'local' },
    socialLinks: [{ icon: 'github', link: 'https://github.com/ambus/ambus' }],
    sidebar: [
      {
        text: 'Start',
        items: [
          { text: 'Quick start', link: '/quick-start' },
          { text: 'Concepts', link: '/concepts' },
        ],
      },
      {
        text: 'Messages',
        items: guide([
          ['Publishing', 'publishing'],
          ['Subscribing', 'subscribing'],
          ['Topics and patterns', 'topics'],
          ['Serializers', 'serializers'],
          ['Retries and dead letters', 'retries'],
          ['Time and priority', 'time'],
          ['Request and reply', 'requests'],
          ['Streams and pull', 'streams'],
        ]),
      },
      {
        text: 'Programs',
        items: guide([
          ['Delivery guarantees', 'guarantees'],
          ['Circuit breaker', 'circuit-breaker'],
          ['Middleware', 'middleware'],
          ['Events, logging, stats', 'events'],
          ['Lifecycle', 'lifecycle'],
          ['Configuration', 'configuration'],
          ['Errors', 'errors'],
          ['Testing your program', 'testing'],
          ['Operations', 'operations'],
        ]),
      },
      {
        text: 'Brokers',
        items: [
          { text: 'Overview', link: '/brokers/' },
          { text: 'Memory', link: '/brokers/memory' },
          { text: 'Redis', link: '/brokers/redis' },
          { text: 'NATS', link: '/brokers/nats' },
          { text: 'Kafka', link: '/brokers/kafka' },
          { text: 'Writing a broker', link: '/brokers/writing' },
          { text: 'Wire format', link: '/wire-format' },
          { text: 'Where each guarantee lives', link: '/internals' },
          ...(hasConformance ? [{ text: 'Conformance', link: '/conformance' }] : []),
        ],
      },
      { text: 'Decisions', collapsed: true, items: decisions() },
    ],
  },
});

export default config;
