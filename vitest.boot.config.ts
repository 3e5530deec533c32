import { type ViteUserConfig, defineConfig } from 'vitest/config';

/** Before tests that boot machines made of one image. */
const globalSetup = 'test/boot/container/prepare.ts';

/** Tests that boot whole machines: `npm run test:boot`. */
const config: ViteUserConfig = defineConfig({
  test: {
    testTimeout: 180_000,
    hookTimeout: 600_000,
    maxWorkers: 1,
    reporters: ['default', './test/support/closing-line.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'boot',
          include: ['test/boot/container/*.test.ts', 'test/boot/emulator/emulated.test.ts'],
          globalSetup,
        },
      },
      {
        // What takes minutes beside the boots: "npm run test:images". Debian and npm's parts come over the network.
        extends: true,
        test: { name: 'images', testTimeout: 900_000, include: ['test/boot/{builders,packages}/*.test.ts'] },
      },
      {
        extends: true,
        test: {
          name: 'emulator',
          include: ['test/boot/emulator/*.test.ts'],
          testTimeout: 900_000,
          globalSetup,
        },
      },
    ],
  },
});
export default config;
