import { defineConfig, type UserConfig } from 'vitepress';

const config: UserConfig = defineConfig({
  title: 'Ambus',
  description: 'One small message bus API for agents and services, over any broker.',
  lastUpdated: true,
  themeConfig: {
    search: { provider: 'local' },
    socialLinks: [{ icon: 'github', link: 'https://github.com/ambus/ambus' }],
  },
});

export default config;
