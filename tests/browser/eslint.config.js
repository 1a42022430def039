import js from "@eslint/js";
import globals from "globals";

export default [
  {
    files: ["shamsul/**/*.js"],
    languageOptions: { ecmaVersion: 2023, sourceType: "module", globals: globals.browser },
    rules: {
      ...js.configs.recommended.rules,
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Names from outside must stay text." },
        { property: "outerHTML", message: "Names from outside must stay text." },
        { property: "insertAdjacentHTML", message: "Names from outside must stay text." },
      ],
      "no-var": "error",
      "prefer-const": "error",
    },
  },
];
