import js from '@eslint/js';
import globals from 'globals';

export default [
  js.configs.recommended,
  { languageOptions: { globals: { ...globals.browser } }, rules: { eqeqeq: 'error', 'no-var': 'error', 'prefer-const': 'error' } },
  { ignores: ['console/vendor/**'] },
  { files: ['sdk/src/browser.js', 'console/load.js', 'console/old.js'], languageOptions: { ecmaVersion: 5, sourceType: 'script' }, rules: { 'no-var': 'off', 'no-unused-vars': ['error', { caughtErrors: 'none' }] } },
  { files: ['test/**'], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
];
