import { type ViteUserConfig, configDefaults, defineConfig } from 'vitest/config';

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Whole machines are booted by "npm run test:boot".
    exclude: [...configDefaults.exclude, 'test/boot/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    reporters: ['default', './test/support/closing-line.ts'],
  },
});
export default config;
